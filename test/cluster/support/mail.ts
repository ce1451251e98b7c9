import type { Namespace } from './namespace.ts';
import { forward } from './port-forward.ts';

export interface Mails {
  /** To whom a mail came, once per mail. */
  recipients: () => Promise<string[]>;
  close: () => Promise<void>;
}

/** The mail catcher of a namespace. */
export async function openMails(namespace: Namespace): Promise<Mails> {
  const way = await forward(namespace, 'mail', 1080);
  return {
    recipients: async () => {
      const mails = (await (await fetch(`${way.url}/email`)).json()) as { to: { address: string }[] }[];
      return mails.flatMap(({ to }) => to.map(({ address }) => address));
    },
    close: way.close,
  };
}
