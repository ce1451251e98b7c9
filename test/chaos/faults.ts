import { setTimeout as wait } from 'node:timers/promises';
import { hang, loseResponse, refuse } from '../support/faults.ts';
import type { MailBehaviour } from '../support/mail-server.ts';
import type { RoleProcess } from '../support/role-process.ts';
import type { Dice } from './dice.ts';
import type { ChaosSystem } from './system.ts';

/** Something that happens to a system in production, and is over after a while. */
export type Fault = {
  name: string;
  weight: number;
  /** faults of one part come one after the other: a server that is away can't be restarted */
  part: 'role' | 'postgres' | 'mail' | 'sqs';
  happen: (system: ChaosSystem, dice: Dice) => Promise<void>;
};

/**
 * Whom a fault of a role meets: each API and each consumer, and the reconciler if it runs at this moment. Mostly those who
 * work: on a slow machine all would be killed while they start, and nothing would ever happen to any work.
 */
function someRole({ apis, consumers, reconciling }: ChaosSystem, dice: Dice): RoleProcess | undefined {
  const reconciler = reconciling.process();
  const whileStarting = dice.chance(10);
  const kept = [...apis, ...consumers]
    .filter((role) => whileStarting || role.facts() !== undefined)
    .map((role) => role.process());
  const all = reconciler === undefined ? kept : [...kept, reconciler];
  return all.length === 0 ? undefined : dice.oneOf(all);
}

const mailFor = (name: string, weight: number, behaviour: MailBehaviour): Fault => ({
  name: `mail: ${name}`,
  weight,
  part: 'mail',
  happen: async ({ mail }, dice) => {
    mail.behave(behaviour);
    await wait(dice.between(300, 2_500));
    mail.behave({ kind: 'accept' });
  },
});

export const faults: readonly Fault[] = [
  {
    name: 'SIGKILL',
    weight: 30,
    part: 'role',
    happen: async (system, dice) => await someRole(system, dice)?.kill(),
  },
  {
    name: 'SIGSTOP',
    weight: 8,
    part: 'role',
    happen: async (system, dice) => {
      const frozen = someRole(system, dice);
      frozen?.freeze();
      await wait(dice.between(500, 12_000));
      frozen?.thaw();
    },
  },
  {
    name: 'SIGTERM',
    weight: 8,
    part: 'role',
    happen: async (system, dice) => void (await someRole(system, dice)?.stop()),
  },
  {
    name: 'Postgres: sessions terminated',
    weight: 4,
    part: 'postgres',
    happen: ({ postgres }) =>
      postgres.run(
        'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = $1',
        ['client backend'],
      ),
  },
  { name: 'Postgres: restart', weight: 2, part: 'postgres', happen: ({ postgres }) => postgres.restart() },
  { name: 'Postgres: crash', weight: 2, part: 'postgres', happen: ({ postgres }) => postgres.crash() },
  {
    name: 'Postgres: failover to a node that only reads',
    weight: 3,
    part: 'postgres',
    happen: async ({ postgres }, dice) => {
      await postgres.setReadOnly(true);
      await wait(dice.between(500, 5_000));
      await postgres.setReadOnly(false);
    },
  },
  {
    name: 'mail: away',
    weight: 3,
    part: 'mail',
    happen: async ({ mail }, dice) => {
      await mail.stop();
      await wait(dice.between(300, 5_000));
      await mail.start();
    },
  },
  mailFor('asks to try later', 3, { kind: 'reply', at: 'recipient', code: 451 }),
  mailFor('cuts at the greeting', 2, { kind: 'drop', at: 'greeting' }),
  mailFor('refuses us', 2, { kind: 'reply', at: 'sender', code: 550 }),
  mailFor('takes a mail and says nothing', 1, { kind: 'hang', at: 'content', kept: true }),
  mailFor('takes a mail and cuts', 1, { kind: 'drop', at: 'content', kept: true }),
  mailFor('loses a mail and cuts', 1, { kind: 'drop', at: 'content', kept: false }),
  {
    name: 'SQS: away',
    weight: 3,
    part: 'sqs',
    happen: async ({ sqs }, dice) => {
      await sqs.goDown();
      await wait(dice.between(300, 5_000));
      await sqs.comeBack();
    },
  },
  sqsFor('answers are lost', 3, loseResponse()),
  sqsFor('connections are cut', 2, refuse()),
  sqsFor('does it and says nothing', 2, hang({ reachesUpstream: true })),
];

function sqsFor(name: string, weight: number, fault: ReturnType<typeof refuse>): Fault {
  return {
    name: `SQS: ${name}`,
    weight,
    part: 'sqs',
    happen: async ({ sqs }, dice) => {
      const injected = sqs.inject({ fault });
      await wait(dice.between(200, 2_000));
      injected.remove();
    },
  };
}

export type Chaos = {
  /** how often each fault has happened */
  counts: Map<string, number>;
  /** Lets what happens be over; nothing else begins. */
  end: () => Promise<void>;
};

/** Lets faults happen at random, `perSecond` of them on average, several at a time but one of each part. */
export function startChaos(system: ChaosSystem, dice: Dice, { perSecond }: { perSecond: number }): Chaos {
  const counts = new Map<string, number>();
  const happening = new Map<Fault['part'], Promise<void>>();
  const all = new Set<Promise<void>>();
  const stop = new AbortController();
  const going = (async () => {
    while (!stop.signal.aborted) {
      await wait(dice.between(1, 2_000 / perSecond), undefined, { signal: stop.signal }).catch(
        () => undefined,
      );
      if (stop.signal.aborted) return;
      const fault = dice.pick(faults);
      const own = dice.split();
      // A role that is frozen must not keep the others from being killed meanwhile.
      if (fault.part === 'role' || !happening.has(fault.part)) track(fault, own);
    }
  })();

  function track(fault: Fault, own: Dice): void {
    counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
    const over = fault.happen(system, own).finally(() => {
      all.delete(over);
      if (happening.get(fault.part) === over) happening.delete(fault.part);
    });
    all.add(over);
    happening.set(fault.part, over);
  }

  return {
    counts,
    end: async () => {
      stop.abort();
      await going;
      await Promise.all(all);
    },
  };
}
