export { openDigestSecret } from './digest-secret.ts';
export { createIngest } from './ingest.ts';
