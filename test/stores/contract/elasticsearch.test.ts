import { openElasticsearchStore } from '../../../src/stores/elasticsearch/index.ts';
import { startElasticsearch } from '../../kit/backends.ts';
import { holdsContract } from './suite.ts';

holdsContract('elasticsearch', ['logs'], async () => {
  const elasticsearch = await startElasticsearch();
  const store = openElasticsearchStore({
    url: elasticsearch.url,
    access: { headers: {}, tls: undefined },
    version: 'test',
    retentionMs: 7 * 24 * 3_600_000,
  });
  return {
    ...store,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await elasticsearch[Symbol.asyncDispose]();
    },
  };
});
