import { describe, expect, it } from 'vitest';
import { api, health } from '../../test/kit/api.ts';

describe('of several replicas', () => {
  const asked: string[] = [];
  const others = (answers: readonly unknown[], path: string) => {
    asked.push(path);
    return answers.map((answer, index) => ({
      name: `10.0.0.${index}:8091`,
      answer,
      error: answer === undefined ? 'connect ECONNREFUSED' : undefined,
    }));
  };
  const replicas = (...answers: unknown[]) => api({ peers: { ask: async (path) => others(answers, path) } });

  it.each([
    { name: 'all well', answers: [{ status: 'ok' }], status: 'ok' },
    { name: 'one degraded', answers: [{ status: 'ok' }, { status: 'degraded' }], status: 'degraded' },
    { name: 'one that takes nothing', answers: [{ status: 'unavailable' }], status: 'degraded' },
    { name: 'one that does not answer', answers: [{ status: 'ok' }, undefined], status: 'degraded' },
    { name: 'no other one', answers: [], status: 'ok' },
  ])('health of all: $name', async ({ answers, status }) => {
    const reports = answers.map((answer) => answer && { ...health, version: '1.2.3', ...answer });
    const reply = await (await replicas(...reports)).inject('/health?scope=all');
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toEqual({
      ...health,
      version: '1.2.3',
      status,
      peers: reports.map((answer, index) => ({
        name: `10.0.0.${index}:8091`,
        answer: answer ?? null,
        error: answer === undefined ? 'connect ECONNREFUSED' : null,
      })),
    });
    expect(asked.at(-1)).toBe('/health');
  });

  it('asks them what it was asked, and none without it', async () => {
    const app = await replicas({ deadLetters: [], total: 0, sizeBytes: 0, maxBytes: 1, dropped: 0 });
    asked.length = 0;
    const letters = (await app.inject('/api/v1/pipeline/dead-letters?scope=all&signal=logs&reason=a%20b')).json();
    expect(letters.peers).toHaveLength(1);
    expect(letters.peers[0].answer.total).toBe(0);
    expect((await app.inject('/api/v1/pipeline/status?scope=all')).json().peers[0]).toMatchObject({
      answer: null,
      error: expect.stringContaining('another shape'),
    });
    expect(asked).toEqual(['/api/v1/pipeline/dead-letters?signal=logs&reason=a+b', '/api/v1/pipeline/status']);
    for (const path of ['/health', '/api/v1/pipeline/status?scope=replica'])
      expect((await app.inject(path)).json()).not.toHaveProperty('peers');
    expect(asked).toHaveLength(2);
    expect((await app.inject('/health?scope=every')).statusCode).toBe(400);
  });

  it('has none where none are configured', async () =>
    expect((await (await api()).inject('/health?scope=all')).json().peers).toEqual([]));
});
