export { type OtlpStoreOptions, openOtlpStore } from './write.ts';
