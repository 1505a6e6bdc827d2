import { expect, it } from 'vitest';
import { type Answer, rowsOf } from './query.ts';

it.each<[name: string, data: Answer['data'], rows: string[]]>([
  [
    'a vector',
    { resultType: 'vector', result: [{ metric: { __name__: 'up', job: 'a' }, value: [1, '5'] }] },
    ['up{job="a"} 5@1'],
  ],
  [
    'a native histogram among them',
    { resultType: 'vector', result: [{ metric: { __name__: 'h' }, histogram: [2, { count: '3', sum: '4.5' }] }] },
    ['h count 3, sum 4.5@2'],
  ],
  [
    'a matrix',
    {
      resultType: 'matrix',
      result: [
        {
          metric: {},
          values: [
            [1, '5'],
            [2, '6'],
          ],
        },
      ],
    },
    ['{} 6@2'],
  ],
  [
    'a matrix of native histograms',
    { resultType: 'matrix', result: [{ metric: {}, histograms: [[1, { count: '1', sum: '2' }]] }] },
    ['{} count 1, sum 2@1'],
  ],
  ['a scalar', { resultType: 'scalar', result: [7, '2'] }, [' 2@7']],
  ['a string', { resultType: 'string', result: [7, 'text'] }, [' text@7']],
  ['nothing', { resultType: 'vector', result: [] }, []],
])('%s', (_, data, rows) => {
  expect(rowsOf({ data }).map(({ series, value, time }) => `${series} ${value}@${time}`)).toEqual(rows);
});
