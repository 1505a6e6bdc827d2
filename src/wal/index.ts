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
export { type DiskUse, type File, type FileSystem, type OpenMode, systemFiles } from './files.ts';
export { type LogOptions, type LogWriter, type OwnedLog, openLog } from './log.ts';
export { openLogReader } from './reader.ts';
export { type Reserve, reserveIn } from './reserve.ts';
