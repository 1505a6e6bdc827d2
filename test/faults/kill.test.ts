import { it } from 'vitest';
import { killUnderLoad } from './kill.ts';

const kills = Number(process.env['WATCHINGCAT_TEST_KILLS'] ?? 50);
const seed = Number(process.env['WATCHINGCAT_TEST_SEED'] ?? 1);

it(`A1 killed ${kills} times under load, seed ${seed}: nothing acknowledged is lost, nothing is there twice`, () =>
  killUnderLoad({ kills, seed }));
