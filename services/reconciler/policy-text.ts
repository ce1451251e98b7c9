import { parseAllDocuments } from 'yaml';
import type { Policy } from './policy.ts';
import type { PolicyProblem } from './policy-checks.ts';
import { PolicyError, readPolicy } from './policy-document.ts';

/**
 * Reads policies from YAML or JSON, which may hold several documents: one per queue.
 * @param source what to call the text in an error: its file name
 * @throws PolicyError with all problems of all documents at once
 */
export function parsePolicies(text: string, source: string): Policy[] {
  const documents = parseAllDocuments(text);
  const read = Array.isArray(documents) ? documents : [];
  const many = read.length > 1;
  const results = read.map((document, index) => {
    const within = (problem: PolicyProblem) =>
      many ? { ...problem, path: `document ${index + 1}: ${problem.path}` } : problem;
    const syntax = document.errors.map((error) => ({
      path: 'the document',
      message: firstLine(error.message),
    }));
    const result = syntax.length > 0 ? { problems: syntax } : readPolicy(document.toJS());
    return 'policy' in result ? result : { problems: result.problems.map(within) };
  });
  const policies = results.flatMap((result) => ('policy' in result ? [result.policy] : []));
  const problems = results.flatMap((result) => ('policy' in result ? [] : result.problems));
  if (read.length === 0)
    problems.push({ path: 'the document', message: 'is empty; leave the file out for the built-in policy' });
  problems.push(...sameQueueTwice(policies));
  if (problems.length > 0) throw new PolicyError(source, problems);
  return policies;
}

function sameQueueTwice(policies: readonly Policy[]): PolicyProblem[] {
  return policies.flatMap(({ queue, name }, index) => {
    const first = policies.find((policy) => policy.queue === queue);
    return first === policies[index]
      ? []
      : [
          {
            path: `policy ${name}: spec.queue`,
            message: `"${queue}" has policy ${first?.name} already; keep one of them`,
          },
        ];
  });
}

/** The YAML parser's message goes on with a picture of the place. */
function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}
