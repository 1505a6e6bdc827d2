export { openDigestSecret, sharedDigestSecret } from './digest-secret.ts';
export { createIngest } from './ingest.ts';
