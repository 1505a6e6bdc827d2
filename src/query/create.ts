import type { Readers } from '../stores/contract.ts';
import type { GateLimits } from './gate.ts';
import type { Queries } from './queries.ts';

/** `queriesOver`, loaded by those who answer only: commands just parse, and would load twice of what they need. */
export async function createQueries(readers: Readers, limits?: Partial<GateLimits>): Promise<Queries> {
  const { queriesOver } = await import('./queries.ts');
  return queriesOver(readers, limits);
}
