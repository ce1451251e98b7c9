import { isExternal } from './environment.ts';
import type { Part } from './part.ts';

/** Takes the mail server away; returns what to tell the person. Its mails and its ports are kept. */
export async function stopMail(mail: Part): Promise<string> {
  if (!mail.isRunning) return 'The mail server is stopped already. Start it with: npm run mail -- start';
  await mail.stop();
  return (
    'The mail server is stopped. Gifts sent now are tried again, then dead-lettered (about half a minute), and stay so:\n' +
    'the reconciliation of every minute rests until the mail server is back. Start it again with: npm run mail -- start'
  );
}

export async function startMail(mail: Part): Promise<string> {
  if (mail.isRunning) return 'The mail server is running already.';
  await mail.start();
  return 'The mail server is back. The reconciler runs again, now and every minute, and redrives the dead letters.';
}

export function whyNoMail(outer: NodeJS.ProcessEnv): string {
  return isExternal('mail', outer)
    ? 'SMTP_URL names a mail server of your own, which only you can stop and start.'
    : 'Largesse is still starting.';
}
