/** Structured log: one JSON object per line. The destination is a parameter, so a test can read it and a program can keep stdout for itself. */

export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogFields = Readonly<Record<string, unknown>>;

export type Logger = (level: LogLevel, message: string, fields?: LogFields) => void;

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/**
 * A logger that writes `{"time","level","message",...fields}` lines of at least `minimum`.
 * @param write takes one line with its newline; standard error by default
 */
export function jsonLogger(minimum: LogLevel = "info", write: (line: string) => void = writeStderr): Logger {
  const from = LEVELS.indexOf(minimum);
  return (level, message, fields = {}) => {
    if (LEVELS.indexOf(level) < from) return;
    write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
  };
}

function writeStderr(line: string): void {
  process.stderr.write(line);
}

export const silentLogger: Logger = () => {};
