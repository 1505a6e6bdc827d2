export { type Enrichment, type StaticAttributes, staticEnrichment } from './static.ts';
