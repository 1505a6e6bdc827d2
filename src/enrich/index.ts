export { type Enrichment, staticEnrichment } from './static.ts';
