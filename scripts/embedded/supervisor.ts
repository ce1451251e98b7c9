import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Demo, ensureDemo } from './demo.ts';
import { type Environment, isExternal, roleEnvironment, stopTimeoutMs, toEnvFile } from './environment.ts';
import { ENVIRONMENT_FILE, KEYRING_FILE, readJson, writeJson, writePrivate } from './folder.ts';
import { startGuardian } from './guarding.ts';
import { startMail, stopMail, whyNoMail } from './mail-switch.ts';
import { Part, type PartCommand, PartFailed } from './part.ts';
import { choosePorts, movedPorts, type PortName, type Ports, USUAL_PORTS } from './ports.ts';
import { logPostgres, preparePostgres } from './postgres.ts';
import { type ProcessRecord, stopLeftovers } from './processes.ts';
import type { Progress } from './progress.ts';
import { RECONCILER_LOG_LEVEL, type Reconciling, reconcileEveryMinute } from './reconciling.ts';
import { describeSystem } from './report.ts';
import { restartAfterCrash } from './restarts.ts';
import { OneShots } from './run-once.ts';
import { apiPart, consumerPart, mailPart, sqsPart } from './servers.ts';
import { STOP_ORDER } from './stop-order.ts';

const PORT_ATTEMPTS = 3;

/** The whole system on one machine, as `npm start` runs it. */
export class Supervisor {
  readonly #progress: Progress;
  readonly #outer: NodeJS.ProcessEnv;
  readonly #parts = new Map<string, Part>();
  readonly #oneShots = new OneShots();
  #ports: Ports = { ...USUAL_PORTS };
  #databaseUrl = '';
  #reconciling: Reconciling | undefined;
  #dismissGuardian: () => void = () => undefined;
  #stopping: Promise<void> | undefined;
  #summary = 'It is still starting.';

  constructor(progress: Progress, outer: NodeJS.ProcessEnv) {
    this.#progress = progress;
    this.#outer = outer;
  }

  get summary(): string {
    return this.#summary;
  }

  async start(): Promise<void> {
    await this.#clearUp();
    this.#dismissGuardian = startGuardian();
    await this.#choosePorts();
    await Promise.all([this.#startPostgres(), this.#startSqs(), this.#startMail()]);
    this.#checkpoint();
    await this.#prepare();
    await this.#startApi();
    this.#checkpoint();
    // Only now: the links in its mails name the API's port, which may have changed until the API was up.
    const [, demo] = await Promise.all([this.#startConsumer(), this.#findDemo()]);
    this.#checkpoint();
    writeJson('ports.json', this.#ports);
    writePrivate(ENVIRONMENT_FILE, toEnvFile(this.#environment()));
    const quiet = {
      ...this.#environment(),
      LOG_LEVEL: this.#outer['LOG_LEVEL']?.trim() || RECONCILER_LOG_LEVEL,
    };
    this.#reconciling = reconcileEveryMinute(this.#oneShots, quiet, this.#progress);
    this.#summary = describeSystem({
      ports: this.#ports,
      environment: this.#environment(),
      demo,
      outer: this.#outer,
    });
  }

  /** Every part, in order; safe to call more than once and in the middle of a start. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  /** For the impatient: at once and without order. */
  kill(): void {
    this.#dismissGuardian();
    this.#oneShots.kill();
    for (const part of this.#parts.values()) part.kill();
  }

  async switchMail(action: 'start' | 'stop'): Promise<string> {
    const mail = this.#parts.get('mail');
    if (mail === undefined) throw new Error(whyNoMail(this.#outer));
    // Before the mail server goes, and after it is back: a run in between would take the letters from under the reader.
    if (action === 'stop') await this.#reconciling?.pause();
    const told = action === 'stop' ? await stopMail(mail) : await startMail(mail);
    if (action === 'start') this.#reconciling?.resume();
    this.#remember();
    this.#progress.warn(`mail: ${action} on demand.`);
    return told;
  }

  async #choosePorts(): Promise<void> {
    const wanted: Partial<Ports> = { ...readJson<Partial<Ports>>('ports.json') };
    const asked = Number(this.#outer['PORT']);
    if (asked > 0) wanted.api = asked;
    this.#ports = await choosePorts(wanted);
    for (const line of movedPorts(wanted, this.#ports, this.#outer)) this.#progress.say(line);
  }

  async #startPostgres(): Promise<void> {
    if (isExternal('postgres', this.#outer)) {
      this.#databaseUrl = this.#outer['DATABASE_URL'] ?? '';
      return;
    }
    await this.#startOnPorts('PostgreSQL', ['postgres'], async () => {
      const prepared = await preparePostgres(this.#ports.postgres, this.#progress.say);
      this.#databaseUrl = prepared.url;
      return prepared.part;
    });
  }

  async #startSqs(): Promise<void> {
    if (isExternal('sqs', this.#outer)) return;
    await this.#startOnPorts('SQS emulator', ['sqs'], () => sqsPart(this.#ports));
  }

  async #startMail(): Promise<void> {
    if (isExternal('mail', this.#outer)) return;
    await this.#startOnPorts('mail catcher', ['smtp', 'mailWeb'], () => mailPart(this.#ports));
  }

  async #startApi(): Promise<void> {
    const make = () => apiPart(this.#ports, this.#environment());
    await this.#startOnPorts('API', ['api', 'apiMetrics'], make);
  }

  async #findDemo(): Promise<Demo> {
    const deps = { apiUrl: this.#apiUrl(), oneShots: this.#oneShots, environment: this.#environment() };
    return this.#progress.step('demo sender, key and funds', () => ensureDemo(deps));
  }

  async #startConsumer(): Promise<void> {
    const make = () => consumerPart(this.#ports, this.#environment());
    await this.#startOnPorts('consumer of gifts', ['consumerMetrics'], make);
  }

  /** A port that was free a moment ago may be taken when the program opens it (another clone starting): try others. */
  async #startOnPorts(
    title: string,
    ports: PortName[],
    make: () => PartCommand | Promise<PartCommand>,
  ): Promise<void> {
    await this.#progress.step(title, async () => {
      for (let attempt = 1; ; attempt += 1) {
        this.#checkpoint();
        const part = this.#makePart(await make());
        try {
          await part.start();
          return this.#remember();
        } catch (error) {
          if (attempt === PORT_ATTEMPTS || !(error instanceof PartFailed && error.isPortTaken)) throw error;
          const [before, others] = [{ ...this.#ports }, await choosePorts({})];
          for (const port of ports) this.#ports[port] = others[port];
          for (const line of movedPorts(before, this.#ports, {})) this.#progress.say(line);
        }
      }
    });
  }

  /** Lines are held until the part is ready: of an attempt that failed, the failure shows them. */
  #makePart(command: PartCommand): Part {
    let held: string[] | undefined = [];
    const part = new Part(command, {
      // At once and not when it is ready: a kill of ours in between would leave a process that no later start knows.
      onSpawn: () => this.#remember(),
      onReady: () => {
        for (const line of held ?? []) this.#show(command.name, line);
        held = undefined;
      },
      onLine: (name, line) => (held === undefined ? this.#show(name, line) : void held.push(line)),
      onCrash: (crashed, how) => this.#onCrash(crashed, how),
    });
    this.#parts.set(command.name, part);
    return part;
  }

  #show(name: string, line: string): void {
    if (name === 'postgres') logPostgres(line);
    else this.#progress.log(name, line);
  }

  #onCrash(part: Part, how: string): void {
    if (this.#stopping !== undefined) return;
    restartAfterCrash({
      part,
      how,
      progress: this.#progress,
      isStopping: () => this.#stopping !== undefined,
      onRestarted: () => this.#remember(),
    });
  }

  async #prepare(): Promise<void> {
    const admin = (...args: string[]) =>
      this.#oneShots.demand(['services/admin/main.ts', ...args], this.#environment());
    const keyring = this.#environment()['KEYRING_FILE'] ?? '';
    if (!existsSync(keyring)) await admin('create-keyring', '--file', keyring);
    await this.#progress.step('migrations and queues', () =>
      admin('migrate').then(() => admin('check-keyring')),
    );
    this.#checkpoint();
  }

  #environment(): Environment {
    const backing = {
      databaseUrl: this.#databaseUrl,
      queueEndpoint: this.#outer['AWS_ENDPOINT_URL_SQS']?.trim() || `http://127.0.0.1:${this.#ports.sqs}`,
      smtpUrl: this.#outer['SMTP_URL']?.trim() || `smtp://127.0.0.1:${this.#ports.smtp}?tls=none`,
    };
    const keyringFile = resolve(KEYRING_FILE);
    return roleEnvironment({ backing, apiUrl: this.#apiUrl(), keyringFile }, this.#outer);
  }

  #apiUrl(): string {
    return `http://localhost:${this.#ports.api}`;
  }

  async #clearUp(): Promise<void> {
    const left = await stopLeftovers(readJson<ProcessRecord[]>('processes.json') ?? []);
    const names = left.map(({ name }) => name).join(', ');
    if (names !== '') this.#progress.say(`The last run was killed and left ${names} behind: stopped now.`);
  }

  #remember(): void {
    writeJson(
      'processes.json',
      [...this.#parts.values()].flatMap((part) => part.record() ?? []),
    );
  }

  #checkpoint(): void {
    if (this.#stopping !== undefined) throw new StoppedWhileStarting('stopped while starting');
  }

  async #stopAll(): Promise<void> {
    this.#reconciling?.stop();
    await this.#oneShots.stop(stopTimeoutMs(this.#environment()));
    for (const name of STOP_ORDER) {
      const part = this.#parts.get(name);
      if (part?.isRunning) await this.#progress.step(`stopping ${name}`, () => part.stop());
    }
    this.#dismissGuardian();
    writeJson('processes.json', []);
  }
}

/** Not a failure: somebody pressed Ctrl-C before everything was up. */
export class StoppedWhileStarting extends Error {}
