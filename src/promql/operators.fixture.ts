// What operators give, as a real Prometheus does: test/backends/recording-rules.test.ts asks it the same.

/** In the notation of Prometheus' own tests, a sample a minute. */
export const operatorSeries: readonly string[] = [
  'use{pod="a",node="x"} 1 1 1',
  'use{pod="b",node="x"} 4 4 4',
  'use{pod="c",node="y"} 9 9 9',
  'size{node="x"} 8 8 8',
  'size{node="y"} 0 0 0',
  'limit{pod="a"} 2 2 2',
];

/** At the third sample; `found` is sorted by labels. */
export const operatorRows: readonly { readonly query: string; readonly found: readonly string[] }[] = [
  { query: 'use + 1 * 2', found: ['{node="x",pod="a"} 3', '{node="x",pod="b"} 6', '{node="y",pod="c"} 11'] },
  { query: '2 ^ 3 ^ 0 - use{pod="b"}', found: ['{node="x",pod="b"} -2'] },
  { query: '-use{pod="b"}', found: ['{node="x",pod="b"} -4'] },
  { query: '+use{pod="b"}', found: ['{__name__="use",node="x",pod="b"} 4'] },
  { query: '-use{pod="b"} ^ 2 + 1', found: ['{node="x",pod="b"} -15'] },
  { query: '-1 ^ 2 * use{pod="b"} - -1', found: ['{node="x",pod="b"} -3'] },
  { query: '2 ^ -1 * --use{pod="b"}', found: ['{node="x",pod="b"} 2'] },
  { query: '-sum by (node) (use) > -8', found: ['{node="x"} -5'] },
  { query: 'use > 3', found: ['{__name__="use",node="x",pod="b"} 4', '{__name__="use",node="y",pod="c"} 9'] },
  { query: '3 > use', found: ['{__name__="use",node="x",pod="a"} 1'] },
  { query: 'use == bool 4', found: ['{node="x",pod="a"} 0', '{node="x",pod="b"} 1', '{node="y",pod="c"} 0'] },
  { query: 'use % 3 == 1', found: ['{node="x",pod="a"} 1', '{node="x",pod="b"} 1'] },
  { query: 'use / on (pod) limit', found: ['{pod="a"} 0.5'] },
  { query: 'use / ignoring (node) limit', found: ['{pod="a"} 0.5'] },
  { query: 'use / limit', found: [] },
  {
    query: 'use / on (node) group_left () size',
    found: ['{node="x",pod="a"} 0.125', '{node="x",pod="b"} 0.5', '{node="y",pod="c"} +Inf'],
  },
  { query: 'size - on (node) group_right () use{pod="b"}', found: ['{node="x",pod="b"} 4'] },
  { query: 'limit * on (pod) group_left (node) use', found: ['{node="x",pod="a"} 2'] },
  { query: 'use and on (pod) limit', found: ['{__name__="use",node="x",pod="a"} 1'] },
  {
    query: 'limit or on (pod) use',
    found: [
      '{__name__="limit",pod="a"} 2',
      '{__name__="use",node="x",pod="b"} 4',
      '{__name__="use",node="y",pod="c"} 9',
    ],
  },
  { query: 'use unless on (node) size > 5', found: ['{__name__="use",node="y",pod="c"} 9'] },
  { query: 'sum by (node) (use) / on (node) size', found: ['{node="x"} 0.625', '{node="y"} +Inf'] },
  {
    query: 'label_join(use{pod="a"}, "both", "/", "node", "pod")',
    found: ['{__name__="use",both="x/a",node="x",pod="a"} 1'],
  },
  { query: 'label_join(use{pod="a"}, "node", "", "none")', found: ['{__name__="use",pod="a"} 1'] },
];
