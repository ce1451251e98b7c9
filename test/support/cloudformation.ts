import { readFileSync } from 'node:fs';
import { parse, type YAMLMap, type YAMLSeq } from 'yaml';

type Json = Record<string, unknown>;
/** A call of one of CloudFormation's functions, as the template has it. */
type Call = { function: string; argument: unknown };

interface Template {
  Parameters: Record<string, { Default?: string }>;
  Conditions: Record<string, unknown>;
  Resources: Record<string, { Type: string; Condition?: string; Properties: unknown }>;
}

const FUNCTIONS = ['Ref', 'Sub', 'If', 'GetAtt', 'Equals', 'Not', 'And', 'Condition'];
const NOTHING = Symbol('AWS::NoValue');

/** The resources that a template makes with these parameters, by name, with all functions that stand for text resolved. */
export function resourcesOf(file: string, parameters: Record<string, string>): Record<string, Json> {
  const template = parse(readFileSync(file, 'utf8'), { customTags: FUNCTIONS.flatMap(tagsOf) }) as Template;
  const defaults = Object.entries(template.Parameters).map(([name, { Default = '' }]) => [name, Default]);
  const names: Record<string, string> = {
    'AWS::Partition': 'aws',
    'AWS::Region': 'eu-central-1',
    'AWS::AccountId': '000000000000',
    ...Object.fromEntries(defaults),
    ...parameters,
  };
  const made = Object.entries(template.Resources).filter(
    ([, { Condition }]) => Condition === undefined || resolve({ function: 'Condition', argument: Condition }),
  );
  return Object.fromEntries(made.map(([name, { Properties }]) => [name, resolve(Properties) as Json]));

  function resolve(node: unknown): unknown {
    if (isCall(node)) return call(node);
    if (Array.isArray(node)) return node.map(resolve).filter((each) => each !== NOTHING);
    if (typeof node !== 'object' || node === null) return node;
    const entries = Object.entries(node).map(([key, value]) => [key, resolve(value)] as const);
    return Object.fromEntries(entries.filter(([, value]) => value !== NOTHING));
  }

  function call({ function: name, argument }: Call): unknown {
    const some = Array.isArray(argument) ? argument : [argument];
    switch (name) {
      case 'Ref':
        return argument === 'AWS::NoValue' ? NOTHING : (names[String(argument)] ?? `(${argument})`);
      case 'Sub':
        return String(argument).replaceAll(/\$\{([^}]+)\}/g, (_, key: string) => names[key] ?? `(${key})`);
      case 'If':
        return resolve(resolve({ function: 'Condition', argument: some[0] }) ? some[1] : some[2]);
      case 'Equals':
        return resolve(some[0]) === resolve(some[1]);
      case 'Not':
        return !resolve(some[0]);
      case 'And':
        return some.every((each) => resolve(each));
      case 'Condition':
        return resolve(template.Conditions[String(argument)]);
      default:
        return `(${argument})`;
    }
  }
}

function isCall(node: unknown): node is Call {
  return typeof node === 'object' && node !== null && 'function' in node && 'argument' in node;
}

/** A tag may stand before a text or before a list. */
function tagsOf(name: string) {
  const call = (argument: unknown): Call => ({ function: name, argument });
  return [
    { tag: `!${name}`, resolve: (text: string) => call(text) },
    {
      tag: `!${name}`,
      collection: 'seq' as const,
      resolve: (list: YAMLMap | YAMLSeq) => call(list.toJSON()),
    },
  ];
}
