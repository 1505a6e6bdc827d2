export { createIngest, type Ingest, type IngestObserver } from './ingest.ts';
