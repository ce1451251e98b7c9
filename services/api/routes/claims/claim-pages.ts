import type { ClaimLink } from '../../../domain/gifts/claim-link.ts';
import type { Claim } from '../../../domain/gifts/claim-voucher.ts';
import { formatMoney } from '../../../domain/money.ts';
import { formatDeadline, severalLines, shownName } from '../../../domain/notifications/shown-text.ts';
import { type Html, html, page } from './html.ts';

/** What a claim link shows: the gift, and a button while there is something to take. */
export function claimPage(link: ClaimLink, form: { token: string; idempotencyKey: string }): string {
  const title = `${shownName(link.senderName)} sent you a gift`;
  return page(
    title,
    html`<h1>${title}</h1>
<p class="amount">${formatMoney(link.value)}</p>
${link.message === null ? null : html`<blockquote>${severalLines(link.message).join('\n')}</blockquote>`}
${below(link, form)}`,
  );
}

/** After the button: the code, which no other page shows. */
export function claimedPage(claim: Claim): string {
  return page(
    'Your voucher',
    html`<h1>Your voucher</h1>
<p class="amount">${formatMoney(claim.value)}</p>
<p id="label">This is its code. Keep it like money: whoever has it can spend it.</p>
<p class="code" aria-labelledby="label">${claim.code}</p>
<p><strong>Write it down or print this page now:</strong> it is not shown again.</p>
${validity(claim.expiresAt)}`,
  );
}

/** What went wrong, for a person. */
export function refusalPage(title: string, detail: string): string {
  return page(
    `${title} · Largesse`,
    html`<h1>${title}</h1>
<p>${detail.charAt(0).toUpperCase()}${detail.slice(1)}.</p>
<p>This is a page of Largesse, which carries gifts. If a link in a mail brought you here, ask who sent the gift.</p>`,
  );
}

function below(link: ClaimLink, form: { token: string; idempotencyKey: string }): Html {
  switch (link.status) {
    case 'open':
      return html`${validity(link.expiresAt)}
<form method="post" action="/v1/claims">
<input type="hidden" name="token" value="${form.token}">
<input type="hidden" name="idempotency_key" value="${form.idempotencyKey}">
<button type="submit">Show my voucher code</button>
</form>
<p>The code is shown once, so open it when you can write it down.</p>`;
    case 'not_ready':
      return html`<p role="status">This gift is still on its way. Reload the page in a moment.</p>`;
    case 'claimed':
      return html`<p role="status">This gift was claimed already, and its code was shown then. If that was not you, ask the sender.</p>`;
    case 'expired':
      return html`<p role="status">This gift has expired. Ask the sender about it.</p>`;
    case 'over':
      return html`<p role="status">This gift is no longer available. Ask the sender about it.</p>`;
  }
}

function validity(expiresAt: Date | null): Html {
  if (expiresAt === null) return html``;
  const deadline = formatDeadline(expiresAt);
  return html`<p>Valid until <time datetime="${expiresAt.toISOString()}">${deadline}</time>.</p>`;
}
