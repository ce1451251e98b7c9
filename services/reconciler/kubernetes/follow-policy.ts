import { setTimeout as wait } from 'node:timers/promises';
import { loopPauseMs } from '../../queue/backoff.ts';
import type { PolicyApi } from './policy-api.ts';
import { type PolicyObject, whyStop } from './policy-object.ts';

/**
 * Looks at a policy again whenever something happens to it: what a person stops, stops at once. An API server that can't be
 * asked stops nothing here; the Lease does, when that lasts.
 */
export function followPolicy(api: PolicyApi, begun: PolicyObject): { stopped: AbortSignal; end: () => void } {
  const stopped = new AbortController();
  const ended = new AbortController();
  const follow = async () => {
    for (let failures = 0; !ended.signal.aborted; ) {
      try {
        const now = await api.find(begun.metadata.name);
        const why = whyStop(begun, now);
        if (why !== null) return stopped.abort(new Error(why));
        await api.change(now ?? begun, ended.signal);
        failures = 0;
      } catch {
        failures += 1;
      }
      // Also after a change: a server or proxy that ends each watch at once must not be asked without a pause.
      await wait(loopPauseMs(failures, Math.random), undefined, { signal: ended.signal }).catch(
        () => undefined,
      );
    }
  };
  void follow();
  return { stopped: stopped.signal, end: () => ended.abort() };
}
