import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';

export interface Selector {
  /** as it stands in the expression */
  text: string;
  metric: string;
  matchers: { label: string; operator: string; value: string }[];
}

export interface Query {
  selectors: Selector[];
  /** `by (…)`, `without (…)`, `on (…)` of the expression, each with the metrics below it */
  groupings: { labels: string[]; metrics: string[] }[];
}

/** What a PromQL expression asks for. @throws Error when it is none */
export function readQuery(expression: string): Query {
  const tree = parser.parse(expression);
  const textOf = ({ from, to }: { from: number; to: number }) => expression.slice(from, to);
  const query: Query = { selectors: [], groupings: [] };
  tree.iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${expression}`);
      if (node.name === 'VectorSelector') query.selectors.push(selectorOf(node.node, textOf));
      if (node.name === 'GroupingLabels') {
        const within = enclosing(node.node);
        query.groupings.push({
          labels: all(node.node, 'LabelName').map(textOf),
          metrics: all(within, 'VectorSelector').map((one) => selectorOf(one, textOf).metric),
        });
      }
    },
  });
  return query;
}

function selectorOf(node: SyntaxNode, textOf: (node: SyntaxNode) => string): Selector {
  const [name] = all(node, 'Identifier');
  return {
    text: textOf(node),
    metric: name === undefined ? '' : textOf(name),
    matchers: [...all(node, 'UnquotedLabelMatcher'), ...all(node, 'QuotedLabelMatcher')].map((matcher) => {
      const [label, operator, value] = children(matcher).map(textOf);
      return { label: label ?? '', operator: operator ?? '', value: (value ?? '').replaceAll(/^"|"$/g, '') };
    }),
  };
}

/** The aggregation or binary expression that a grouping belongs to. */
function enclosing(node: SyntaxNode): SyntaxNode {
  let found = node;
  while (found.parent !== null && !['AggregateExpr', 'BinaryExpr'].includes(found.name)) found = found.parent;
  return found;
}

function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) found.push(child);
  return found;
}

function all(node: SyntaxNode, name: string): SyntaxNode[] {
  return children(node).flatMap((child) => [...(child.name === name ? [child] : []), ...all(child, name)]);
}
