import { createHash } from 'node:crypto';

/** Text that may stand anywhere in HTML, made by {@link html} alone. */
export type Html = { readonly markup: string };

/** Template that escapes every value but nested HTML. */
export function html(parts: TemplateStringsArray, ...values: (string | number | Html | null)[]): Html {
  const markup = parts.reduce((done, part, index) => `${done}${render(values[index - 1] ?? null)}${part}`);
  return { markup };
}

/** A whole page: no script, one style sheet, readable at any width and by any reader. */
export function page(title: string, content: Html): string {
  const document = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${{ markup: style }}</style>
</head>
<body>
<main>
${content}
</main>
</body>
</html>
`;
  return document.markup;
}

/** Only these very bytes may be a style: whatever else got into the page would stay without effect. */
export const pagePolicy = () =>
  [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');

function render(value: string | number | Html | null): string {
  if (value === null) return '';
  return typeof value === 'object' ? value.markup : escapeHtml(String(value));
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (symbol) => `&#${symbol.charCodeAt(0)};`);
}

const style = `
:root { color-scheme: light dark; }
body { margin: 0; font: 1.125rem/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText; }
main { max-width: 32rem; margin: 0 auto; padding: 2rem 1.25rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
.amount { font-size: 2.5rem; font-weight: 700; margin: 0.5rem 0; }
blockquote { margin: 1rem 0; padding: 0.25rem 0 0.25rem 1rem; border-left: 0.25rem solid currentColor; white-space: pre-wrap; }
.code { font: 700 clamp(0.75rem, 5.2vw, 1.5rem)/1.4 ui-monospace, monospace; padding: 1rem 0.25rem; white-space: nowrap; border: 2px solid currentColor; border-radius: 0.5rem; text-align: center; user-select: all; }
button { font: inherit; font-weight: 700; width: 100%; min-height: 3rem; padding: 0.75rem 1rem; border: 0; border-radius: 0.5rem; background: #0b5; color: #001b0a; cursor: pointer; }
button:focus-visible { outline: 3px solid CanvasText; outline-offset: 3px; }
`;
