import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultLimits, jsonToProtobuf, protobufToJson, walk } from '../../otlp/index.ts';
import { halve } from './halve.ts';

/** 'a:1 2,3 b:4': resource a with a scope of records 1 and 2 and one of record 3; resource b with record 4. */
function request(drawing: string): Uint8Array {
  const resourceLogs = drawing.split(' | ').map((resource) => {
    const [name = '', scopes = ''] = resource.split(':');
    return {
      resource: { attributes: [{ key: 'name', value: { stringValue: name } }] },
      schemaUrl: 'https://example.com/1',
      scopeLogs: scopes.split(',').map((records) => ({
        scope: { name: `scope of ${name}` },
        logRecords: records.split(' ').map((body) => ({ timeUnixNano: '1', body: { stringValue: body } })),
      })),
    };
  });
  return jsonToProtobuf('logs', Buffer.from(JSON.stringify({ resourceLogs })));
}

interface Logs {
  resourceLogs: {
    resource: { attributes: { value: { stringValue: string } }[] };
    schemaUrl: string;
    scopeLogs: { scope: { name: string }; logRecords: { body: { stringValue: string } }[] }[];
  }[];
}
function drawn(bytes: Uint8Array): string {
  const { resourceLogs } = JSON.parse(Buffer.from(protobufToJson('logs', bytes)).toString()) as Logs;
  return resourceLogs
    .map(({ resource, schemaUrl, scopeLogs }) => {
      expect(schemaUrl).toBe('https://example.com/1');
      const name = resource.attributes[0]?.value.stringValue;
      const scopes = scopeLogs.map(({ scope, logRecords }) => {
        expect(scope.name).toBe(`scope of ${name}`);
        return logRecords.map((record) => record.body.stringValue).join(' ');
      });
      return `${name}:${scopes.join(',')}`;
    })
    .join(' | ');
}

describe('halve', () => {
  it.each([
    { of: 'a:1 | b:2', first: 'a:1', second: 'b:2' },
    { of: 'a:1 | b:2 | c:3 | d:4', first: 'a:1 | b:2', second: 'c:3 | d:4' },
    { of: 'a:1,2', first: 'a:1', second: 'a:2' },
    { of: 'a:1 2', first: 'a:1', second: 'a:2' },
    { of: 'a:1 2 3', first: 'a:1 2', second: 'a:3' },
    { of: `a:1 ${'x'.repeat(1000)} 3`, first: `a:1 ${'x'.repeat(1000)}`, second: 'a:3' },
    { of: `a:${'x'.repeat(1000)} 2 3`, first: `a:${'x'.repeat(1000)}`, second: 'a:2 3' },
  ])('$of', ({ of, first, second }) => {
    const halves = halve(request(of));
    expect(halves?.map(drawn)).toEqual([first, second]);
  });
  it('a single record stays whole', () => expect(halve(request('a:1'))).toBeUndefined());
  it('an empty request stays whole', () => expect(halve(new Uint8Array(0))).toBeUndefined());

  it('cut to the last, every record is there once, in order', () => {
    const word = fc.stringMatching(/^[a-z]{1,8}$/);
    const drawing = fc
      .array(fc.array(fc.array(word, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }), {
        minLength: 1,
        maxLength: 4,
      })
      .map((resources) =>
        resources.map((scopes) => `r:${scopes.map((records) => records.join(' ')).join(',')}`).join(' | '),
      );
    fc.assert(
      fc.property(drawing, (of) => {
        const parts = [request(of)];
        const single: string[] = [];
        for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
          const halves = halve(part);
          if (halves !== undefined) parts.unshift(...halves);
          else single.push(drawn(part).replace('r:', ''));
          expect(walk('logs', part, defaultLimits).clean).toBe(true);
        }
        expect(single).toEqual(of.split(/ \| |,| /).map((each) => each.replace('r:', '')));
      }),
    );
  });
});
