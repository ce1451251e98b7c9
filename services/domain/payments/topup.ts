import type { TopupState } from '../../database/states.ts';

/** Where each state may go. The database refuses everything else too (topups_transition_legal). */
export const topupTransitions: Readonly<Record<TopupState, readonly TopupState[]>> = {
  created: ['credited', 'rejected'],
  credited: ['reversed'],
  rejected: [],
  reversed: [],
};
