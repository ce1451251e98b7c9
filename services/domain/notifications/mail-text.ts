/** What a mail says. No field holds a line break that could become a header; bodies hold only what the template put there. */
export type MailText = { subject: string; text: string; html: string };

/** Text as HTML shows it, in content and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"'`]/g, (symbol) => `&#${symbol.charCodeAt(0)};`);
}
