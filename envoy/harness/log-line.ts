/**
 * One entry of Envoy's application log. The default format is `[date time.ms][thread][level][logger] [file:line] message`; a message may go on over
 * several lines, which carry no prefix. Access logs and other output on stdout have no prefix either and become entries of level "none".
 * https://www.envoyproxy.io/docs/envoy/latest/operations/cli#cmdoption-log-format
 */
export type LogLevel = "trace" | "debug" | "info" | "warning" | "error" | "critical" | "none";

export interface LogEntry {
  readonly stream: "stdout" | "stderr";
  readonly level: LogLevel;
  /** Logger name, such as "main", "config" or "wasm"; empty for output without prefix. */
  readonly logger: string;
  /** The text after the prefix and source position, with its continuation lines. */
  readonly message: string;
}

const prefix =
  /^\[\d{4}-\d\d-\d\d [\d:.]+\]\[\d+\]\[(trace|debug|info|warning|error|critical)\]\[([^\]]+)\] (?:\[[^\]]+:\d+\] ?)?(.*)$/;

/** Parses the first line of an entry; undefined when it carries no prefix. */
export function parseLogLine(line: string): Pick<LogEntry, "level" | "logger" | "message"> | undefined {
  const match = prefix.exec(line);
  if (match === null) return undefined;
  const [, level = "none", logger = "", message = ""] = match;
  return { level: level as LogLevel, logger, message };
}

export const formatLogEntry = ({ level, logger, message }: LogEntry): string =>
  level === "none" ? message : `[${level}][${logger}] ${message}`;
