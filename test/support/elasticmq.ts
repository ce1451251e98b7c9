import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

export interface ElasticMq {
  endpoint: string;
  region: string;
  stop(): Promise<void>;
}

const NEWEST = '1.7.1';
const CACHE = join(import.meta.dirname, '../../node_modules/.cache/elasticmq');
const classpathFile = (version: string) => join(CACHE, `classpath-${version}.txt`);
const START_TIMEOUT_MS = 60_000;
const run = promisify(execFile);

/** True where Java and the server's jars (or Maven, to fetch them) are present. Quick: asks for versions only. */
export async function elasticMqAvailable(version = NEWEST): Promise<boolean> {
  if (!(await answers('java', ['-version']))) return false;
  return (await cachedClasspath(version)) !== null || (await answers('mvn', ['-v']));
}

/**
 * Starts an ElasticMQ server of its own process on a free port of 127.0.0.1: a second implementation of SQS, which has
 * move tasks, trace headers and fair queues. Null where Java or Maven is missing. The first use on a machine fetches the
 * jars from Maven Central (about 20 MB).
 */
export async function startElasticMq({
  region = 'eu-central-1',
  version = NEWEST,
}: {
  region?: string;
  version?: string;
} = {}): Promise<ElasticMq | null> {
  if (!(await elasticMqAvailable(version))) return null;
  const classpath = (await cachedClasspath(version)) ?? (await fetchClasspath(version));
  const config = join(CACHE, `server-${region}.conf`);
  await writeAtomically(config, serverConfig(region));
  const child = spawn(
    'java',
    ['-Xmx256m', `-Dconfig.file=${config}`, '-cp', classpath, 'org.elasticmq.server.Main'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const killOrphan = () => child.kill('SIGKILL');
  process.once('exit', killOrphan);
  child.once('exit', () => process.removeListener('exit', killOrphan));
  const port = await boundPort(child);
  return { endpoint: `http://127.0.0.1:${port}`, region, stop: () => stopProcess(child) };
}

function serverConfig(region: string): string {
  return [
    'include classpath("application.conf")',
    'node-address { protocol = http, host = "127.0.0.1", port = 0, context-path = "" }',
    'rest-sqs { enabled = true, bind-port = 0, bind-hostname = "127.0.0.1", sqs-limits = strict }',
    'rest-stats { enabled = false }',
    `aws { region = "${region}", accountId = 000000000000 }`,
    '',
  ].join('\n');
}

async function answers(command: string, args: string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  );
}

/** The jars lie in Maven's own repository, which may be emptied: a class path with a hole is no class path. */
async function cachedClasspath(version: string): Promise<string | null> {
  if (!existsSync(classpathFile(version))) return null;
  const classpath = (await readFile(classpathFile(version), 'utf8')).trim();
  return classpath.split(':').every((jar) => existsSync(jar)) ? classpath : null;
}

async function fetchClasspath(version: string): Promise<string> {
  const folder = join(CACHE, `fetch-${version}-${process.pid}`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'pom.xml'), pom(version));
  process.stderr.write(`Fetching ElasticMQ ${version} from Maven Central (first use only) …\n`);
  const output = join(folder, 'classpath.txt');
  const maven = spawn('mvn', ['-B', '-ntp', 'dependency:build-classpath', `-Dmdep.outputFile=${output}`], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: maven.stdout })) {
    lines.push(line);
    if (/Download|ERROR/.test(line)) process.stderr.write(`  ${line}\n`);
  }
  if (!existsSync(output)) throw new Error(`mvn could not fetch ElasticMQ:\n${lines.slice(-20).join('\n')}`);
  await rename(output, classpathFile(version));
  return (await readFile(classpathFile(version), 'utf8')).trim();
}

function pom(version: string): string {
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.largesse</groupId><artifactId>elasticmq-class-path</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.elasticmq</groupId><artifactId>elasticmq-server_2.13</artifactId><version>${version}</version>
  </dependency></dependencies>
</project>
`;
}

/** Two test workers may write at once: neither may read a half-written file. */
async function writeAtomically(file: string, content: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  await writeFile(`${file}.${process.pid}`, content);
  await rename(`${file}.${process.pid}`, file);
}

/** The server takes port 0 and says which one it got only in its log. */
async function boundPort(child: ChildProcess): Promise<number> {
  const seen: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const fail = (why: string) => {
    child.kill('SIGKILL');
    reject(new Error(`ElasticMQ ${why}:\n${seen.join('\n')}`));
  };
  const timer = setTimeout(() => fail('did not start in time'), START_TIMEOUT_MS);
  child.once('exit', (code) => fail(`exited with ${code}`));
  child.once('error', (error) => fail(`could not be started: ${error.message}`));
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      if (seen.push(line) > 50) seen.shift();
      const port = /bind address \S*?:(\d+),/.exec(line)?.[1];
      if (port !== undefined && port !== '0') resolve(Number(port));
    });
  }
  return promise.finally(() => clearTimeout(timer));
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}
