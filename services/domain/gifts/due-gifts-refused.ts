import { fromUuid, type GiftId } from '../ids.ts';

/** A step over gifts that are due was refused; which of them is to blame, only fewer can tell. */
export class DueGiftsRefusedError extends Error {
  readonly ids: readonly GiftId[];

  constructor(ids: readonly GiftId[], cause: unknown) {
    super(`a step over ${ids.length} due gifts was refused`, { cause });
    this.name = 'DueGiftsRefusedError';
    this.ids = ids;
  }
}

/** For `.catch`: tells whose step it was. */
export function refusedFor(due: readonly { id: string }[]): (cause: unknown) => never {
  return (cause) => {
    throw new DueGiftsRefusedError(
      due.map(({ id }) => fromUuid('gft', id)),
      cause,
    );
  };
}
