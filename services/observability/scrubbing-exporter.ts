import type { Attributes, AttributeValue } from '@opentelemetry/api';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { scrubText } from './scrub.ts';

/** The last line before spans leave: whoever made them, their texts are scrubbed (P59). */
export function scrubbingExporter(exporter: SpanExporter): SpanExporter {
  return {
    export: (spans, done) => exporter.export(spans.map(scrubSpan), done),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}

/** A view, not a copy: the span's other members are getters on its prototype. */
function scrubSpan(span: ReadableSpan): ReadableSpan {
  const { message } = span.status;
  return Object.create(span, {
    name: { value: scrubText(span.name) },
    status: { value: message === undefined ? span.status : { ...span.status, message: scrubText(message) } },
    attributes: { value: scrubAttributes(span.attributes) },
    events: {
      value: span.events.map((event) => ({
        ...event,
        name: scrubText(event.name),
        ...(event.attributes === undefined ? {} : { attributes: scrubAttributes(event.attributes) }),
      })),
    },
    links: {
      value: span.links.map((link) =>
        link.attributes === undefined ? link : { ...link, attributes: scrubAttributes(link.attributes) },
      ),
    },
  }) as ReadableSpan;
}

function scrubAttributes(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, scrubValue(value)]));
}

function scrubValue(value: AttributeValue | undefined): AttributeValue | undefined {
  if (typeof value === 'string') return scrubText(value);
  if (!Array.isArray(value)) return value;
  return value.map((element) =>
    typeof element === 'string' ? scrubText(element) : element,
  ) as AttributeValue;
}
