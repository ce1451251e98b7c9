import { escapeHtml, type MailText } from './mail-text.ts';
import { oneLine } from './shown-text.ts';

/** A mail in the order in which it is read. Everything is plain text; escaping happens here and nowhere else. */
export type MailContent = {
  subject: string;
  heading: string;
  paragraphs: string[];
  /** what the sender wrote, line by line */
  quote: string[];
  button: { label: string; url: string };
  /** small print below the button */
  notes: string[];
};

/** The same content as text and as HTML that works without images, styles or a mouse. */
export function layOut(content: MailContent): MailText {
  return { subject: oneLine(content.subject), text: asText(content), html: asHtml(content) };
}

function asText({ heading, paragraphs, quote, button, notes }: MailContent): string {
  const blocks = [
    heading,
    ...paragraphs,
    ...(quote.length > 0 ? [quote.map((line) => `> ${line}`.trimEnd()).join('\n')] : []),
    `${button.label}:\n${button.url}`,
    ...notes,
  ];
  return `${blocks.join('\n\n')}\n`;
}

function asHtml({ subject, heading, paragraphs, quote, button, notes }: MailContent): string {
  const paragraph = (text: string) => `<p style="margin:0 0 16px">${escapeHtml(text)}</p>`;
  const url = escapeHtml(button.url);
  return `<!doctype html>
<html lang="en" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(oneLine(subject))}</title>
</head>
<body style="margin:0;padding:24px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif">
<main role="main" style="max-width:560px;margin:0 auto">
<h1 style="font-size:24px;line-height:1.25;margin:0 0 16px">${escapeHtml(heading)}</h1>
${paragraphs.map(paragraph).join('\n')}
${quote.length > 0 ? quotation(quote) : ''}
<p style="margin:24px 0"><a href="${url}" style="${buttonStyle}">${escapeHtml(button.label)}</a></p>
<p style="margin:0 0 16px;font-size:14px">If the button does not work, open this address:<br>
<a href="${url}" style="word-break:break-all">${url}</a></p>
${notes.map((note) => `<p style="margin:0 0 8px;font-size:14px">${escapeHtml(note)}</p>`).join('\n')}
</main>
</body>
</html>
`;
}

/** White on #1d4ed8: contrast 6.7 to 1, readable for most; 44 px high, big enough for a thumb. */
const buttonStyle =
  'display:inline-block;padding:10px 24px;min-height:24px;border-radius:6px;background:#1d4ed8;color:#ffffff;' +
  'font-weight:600;text-decoration:none';

function quotation(lines: string[]): string {
  const style = 'margin:0 0 16px;padding:0 0 0 16px;border-left:4px solid #9ca3af';
  return `<blockquote dir="auto" style="${style}">${lines.map(escapeHtml).join('<br>')}</blockquote>`;
}
