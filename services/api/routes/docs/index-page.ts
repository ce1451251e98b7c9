import type { RequestHandler } from 'express';
import { z } from 'zod';
import { html, page, pagePolicy } from '../claims/html.ts';

const links = { docs: '/docs', openapi: '/openapi.json', api: '/v1/gifts', health: '/readyz' } as const;

export const indexSchema = z
  .object({
    name: z.literal('Largesse'),
    links: z.object({
      docs: z.literal(links.docs),
      openapi: z.literal(links.openapi),
      api: z.literal(links.api),
      health: z.literal(links.health),
    }),
  })
  .meta({ id: 'Index' });

/** Whoever types the address and nothing more is a person or a curl: each gets where to go, in their form. */
export const sendIndex: RequestHandler = (request, response) => {
  const wantsPage = request.accepts(['json', 'html']) === 'html';
  response.vary('Accept');
  if (!wantsPage)
    return void response.json({ name: 'Largesse', links } satisfies z.output<typeof indexSchema>);
  response.setHeader('Content-Security-Policy', pagePolicy());
  response.type('html').send(
    page(
      'Largesse',
      html`<h1>Largesse</h1>
<p>Gifts of vouchers. A gift is claimed by the link in its mail.</p>
<ul>
<li><a href="${links.docs}">The API, to read and to try</a></li>
<li><a href="${links.openapi}">The same for programs</a></li>
<li><a href="${links.health}">Whether everything is well here</a></li>
</ul>`,
    ),
  );
};
