/**
 * Structured log: one JSON object per line, written by pino. The destination is a parameter, so a test can read it and a program can keep stdout for itself.
 */
import { pino } from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogFields = Readonly<Record<string, unknown>>;

export type Logger = (level: LogLevel, message: string, fields?: LogFields) => void;

/** Fields that hold secrets by their name are never written, whoever logs them. */
const HIDDEN = ["token", "password", "authorization", "privateKey", "*.token", "*.password", "*.authorization"];

/**
 * A logger that writes `{"level","time","message",...fields}` lines of at least `minimum`.
 * @param write takes one line with its newline; standard error by default
 */
export function jsonLogger(minimum: LogLevel = "info", write: (line: string) => void = writeStderr): Logger {
  const logger = pino(
    {
      level: minimum,
      base: null,
      messageKey: "message",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      redact: { paths: HIDDEN, censor: "(hidden)" },
    },
    { write },
  );
  return (level, message, fields = {}) => {
    if (logger.isLevelEnabled(level)) logger[level]({ ...fields }, message);
  };
}

function writeStderr(line: string): void {
  process.stderr.write(line);
}

export const silentLogger: Logger = () => {};
