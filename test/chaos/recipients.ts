import { setTimeout as wait } from 'node:timers/promises';
import type { Dice } from './dice.ts';
import { insist } from './insisting-client.ts';
import type { ChaosSystem } from './system.ts';

export type Recipients = {
  /** the codes that were shown, by gift */
  codes: Map<string, Set<string>>;
  /** Lets those who are at it finish; nobody else begins. */
  end: () => Promise<void>;
};

/** Three in ten recipients claim as soon as they see their mail; the others have not looked yet. */
export function startRecipients(system: ChaosSystem, dice: Dice): Recipients {
  const codes = new Map<string, Set<string>>();
  const links = new Set<string>();
  const claiming = new Set<Promise<void>>();
  const stop = new AbortController();
  let seen = 0;
  const reading = (async () => {
    while (!stop.signal.aborted) {
      await wait(200, undefined, { signal: stop.signal }).catch(() => undefined);
      const mails = system.mail.mails();
      for (const { link } of mails.slice(seen)) if (dice.chance(30)) begin(link);
      seen = mails.length;
    }
  })();

  function begin(link: string): void {
    if (links.has(link)) return;
    links.add(link);
    const claim = claimGift(dice.split(), link).finally(() => claiming.delete(claim));
    claiming.add(claim);
  }

  async function claimGift(own: Dice, link: string): Promise<void> {
    const token = link.slice(link.lastIndexOf('/') + 1);
    const answers = await insist(system, own, { path: '/v1/claims', key: `claim-${token}`, body: { token } });
    for (const { status, body } of answers) {
      if (status >= 300) continue;
      const gift = String(body['gift_id']);
      const { code } = body['voucher'] as { code: string };
      codes.set(gift, (codes.get(gift) ?? new Set()).add(code));
    }
  }

  return {
    codes,
    end: async () => {
      stop.abort();
      await reading;
      await Promise.all(claiming);
    },
  };
}
