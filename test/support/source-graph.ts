import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { parseSync } from '@swc/core';

/** What a source file takes from elsewhere, as far as the rules of the architecture ask. */
export interface SourceFile {
  /** From the root of the repository, with `/`. */
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  /** Reads the environment: `process.env`, or `env` of `node:process`. */
  readonly readsEnvironment: boolean;
  /** Names of methods called on anything: `db.selectFrom(…)` gives `selectFrom`. */
  readonly calls: ReadonlySet<string>;
}

export interface Import {
  readonly specifier: string;
  /** The path of one of our files; undefined for npm packages and Node's own modules. */
  readonly file: string | undefined;
  /** Erased when the types are stripped: nothing of it runs. */
  readonly typeOnly: boolean;
}

/** All TypeScript sources under `folder`, parsed. */
export function readSourceGraph(root: string, folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
    .sort()
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')));
}

/** A file from its text. Types are part of the picture: an import of a type is a dependency too. */
export function parseSource(path: string, text: string): SourceFile {
  const file = { imports: [] as Import[], readsEnvironment: false, calls: new Set<string>() };
  const add = (specifier: string, typeOnly: boolean) => {
    const own = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined;
    file.imports.push({ specifier, file: own, typeOnly });
  };
  visit(parseSync(text, { syntax: 'typescript', tsx: path.endsWith('x') }), (node) => {
    const imported = importOf(node);
    if (imported !== undefined) add(...imported);
    if (node['type'] === 'MemberExpression' && isEnvironment(node)) file.readsEnvironment = true;
    if (importsEnvironment(node) || destructuresEnvironment(node)) file.readsEnvironment = true;
    const callee = node['type'] === 'CallExpression' ? (node['callee'] as Node) : undefined;
    if (callee?.['type'] === 'MemberExpression') file.calls.add(propertyName(callee) ?? '');
  });
  return { path, lines: text.replace(/\n$/, '').split('\n').length, ...file };
}

type Node = Readonly<Record<string, unknown>>;

function visit(value: unknown, onNode: (node: Node) => void): void {
  if (Array.isArray(value)) for (const element of value) visit(element, onNode);
  else if (isNode(value)) {
    onNode(value);
    for (const inner of Object.values(value)) visit(inner, onNode);
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null;
}

function importOf(node: Node): [specifier: string, typeOnly: boolean] | undefined {
  switch (node['type']) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
      return isNode(node['source']) ? [textOf(node['source']), isTypeOnly(node)] : undefined;
    case 'TsImportType':
      return [textOf(node['argument']), true];
    case 'CallExpression': {
      const [first] = node['arguments'] as { expression: unknown }[];
      return (node['callee'] as Node)['type'] === 'Import' ? [textOf(first?.expression), false] : undefined;
    }
    default:
      return undefined;
  }
}

function textOf(node: unknown): string {
  return isNode(node) && typeof node['value'] === 'string' ? node['value'] : '(computed)';
}

function isTypeOnly(node: Node): boolean {
  const specifiers = (node['specifiers'] ?? []) as { isTypeOnly?: boolean }[];
  return (
    node['typeOnly'] === true ||
    (specifiers.length > 0 && specifiers.every(({ isTypeOnly: erased }) => erased === true))
  );
}

/** `process.env`, `globalThis.process.env`, `process['env']`. */
function isEnvironment(node: Node): boolean {
  return propertyName(node) === 'env' && isProcess(node['object']);
}

function isProcess(node: unknown): boolean {
  if (!isNode(node)) return false;
  if (node['type'] === 'Identifier') return node['value'] === 'process';
  return node['type'] === 'MemberExpression' && propertyName(node) === 'process';
}

function importsEnvironment(node: Node): boolean {
  if (node['type'] !== 'ImportDeclaration' || !/^(node:)?process$/.test(textOf(node['source']))) return false;
  const specifiers = node['specifiers'] as { local: Node; imported?: Node | null }[];
  return specifiers.some(({ local, imported }) => textOf(imported ?? local) === 'env');
}

function destructuresEnvironment(node: Node): boolean {
  if (node['type'] !== 'VariableDeclarator' || !isProcess(node['init'])) return false;
  const { properties } = node['id'] as { properties?: { key: unknown }[] };
  return (properties ?? []).some(({ key }) => textOf(key) === 'env');
}

function propertyName(member: Node): string | undefined {
  const property = member['property'] as Node;
  const name = property['type'] === 'Computed' ? property['expression'] : property;
  return isNode(name) && typeof name['value'] === 'string' ? name['value'] : undefined;
}
