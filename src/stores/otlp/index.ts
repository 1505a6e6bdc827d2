export { openOtlpStore } from './write.ts';
