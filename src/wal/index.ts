export type {
  Answer,
  Appended,
  Cursor,
  Damage,
  Entry,
  Log,
  LogRead,
  LogReader,
  LogStats,
} from './contract.ts';
export {
  type DeadLetter,
  type DeadLetterOptions,
  type DeadLetterStats,
  type DeadLetterSummary,
  type DeadLetters,
  type NewDeadLetter,
  openDeadLetters,
} from './dead-letters.ts';
export { type DiskUse, type File, type FileSystem, type OpenMode, systemFiles } from './files.ts';
export type { ParsedFrame as LoggedFrame } from './frame.ts';
export { lockFolder } from './lock.ts';
export { type LogOptions, type LogWriter, type OwnedLog, openLog } from './log.ts';
export { openLogReader } from './reader.ts';
export { type Reserve, reserveIn } from './reserve.ts';
