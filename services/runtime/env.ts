import { z } from 'zod';

/** The environment doesn't fit. `message` is for a person's eyes: every problem, each with its remedy, no value. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  readonly code = 'environment_invalid';
  readonly problems: readonly EnvironmentProblem[];

  constructor(problems: readonly EnvironmentProblem[]) {
    super(describe(problems));
    this.problems = problems;
  }
}

export interface EnvironmentProblem {
  readonly variable: string;
  readonly problem: string;
  readonly remedy: string | undefined;
}

/**
 * Reads the variables that `schema` names. An empty variable counts as unset: that is how Kubernetes manifests,
 * compose files and `NAME= command` leave out what they don't need.
 *
 * The `description` of a field (zod's `.describe()`) is printed as its remedy.
 *
 * @throws {EnvironmentError} with all problems at once, so that a first start is not a guessing game of one by one.
 */
export function parseEnv<Schema extends z.ZodObject>(
  schema: Schema,
  env: Readonly<Record<string, string | undefined>>,
): z.output<Schema> {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()));
  const result = schema.safeParse(present);
  if (result.success) return result.data;
  throw new EnvironmentError(
    result.error.issues.map((issue) => toProblem(schema, issue, issue.path[0]?.toString(), present)),
  );
}

function toProblem(
  schema: z.ZodObject,
  issue: z.core.$ZodIssue,
  variable: string | undefined,
  present: Readonly<Record<string, unknown>>,
): EnvironmentProblem {
  if (variable === undefined) return { variable: 'environment', problem: issue.message, remedy: undefined };
  const field: unknown = schema.shape[variable];
  const remedy = field instanceof z.ZodType ? field.description : undefined;
  // A cross-field rule speaks of a variable that may well be missing: its own words say more than "is not set".
  const missing = !(variable in present) && issue.code !== 'custom';
  return { variable, problem: missing ? 'is not set' : lowerFirst(issue.message), remedy };
}

function describe(problems: readonly EnvironmentProblem[]): string {
  const count =
    problems.length === 1
      ? 'One environment variable needs'
      : `${problems.length} problems in the environment need`;
  const lines = problems.flatMap(({ variable, problem, remedy }) => [
    `  ${variable}: ${problem}`,
    ...(remedy === undefined ? [] : [`      ${remedy}`]),
  ]);
  return [`${count} attention:`, '', ...lines].join('\n');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
