export type { ClientTls } from './client.ts';
export type { Compression } from './encode.ts';
export { type OtlpStoreOptions, openOtlpStore } from './write.ts';
