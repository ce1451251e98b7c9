import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Seeded chance: equal seeds make equal choices in equal order. What the processes make of them is not repeatable. */
export type Dice = {
  /** a whole number from `low` to `high`, both included */
  between: (low: number, high: number) => number;
  /** true in `percent` of 100 cases */
  chance: (percent: number) => boolean;
  /** one of them, by weight */
  pick: <T extends { weight: number }>(choices: readonly T[]) => T;
  oneOf: <T>(choices: readonly T[]) => T;
  /** dice of its own for somebody whose number of throws depends on timing, so that nobody else's throws do */
  split: () => Dice;
};

export function createDice(seed: number): Dice {
  const generator = xoroshiro128plus(seed);
  const between = (low: number, high: number) => uniformInt(generator, low, high);
  return {
    between,
    chance: (percent) => between(1, 100) <= percent,
    pick: (choices) => {
      const total = choices.reduce((sum, { weight }) => sum + weight, 0);
      let left = between(1, total);
      for (const choice of choices) {
        left -= choice.weight;
        if (left <= 0) return choice;
      }
      throw new RangeError('nothing to pick from');
    },
    oneOf: (choices) => {
      const choice = choices[between(0, choices.length - 1)];
      if (choice === undefined) throw new RangeError('nothing to pick from');
      return choice;
    },
    split: () => createDice(between(1, 2_147_483_647)),
  };
}
