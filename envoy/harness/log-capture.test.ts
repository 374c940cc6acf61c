import { describe, expect, it } from "vitest";
import { LogCapture } from "./log-capture.ts";
import { parseLogLine } from "./log-line.ts";

const line = (level: string, logger: string, message: string): string =>
  `[2026-11-21 05:02:49.525][18206][${level}][${logger}] [source/common/upstream/cluster_manager_impl.cc:251] ${message}`;

describe("parseLogLine", () => {
  it("takes level, logger and message apart and drops the source position", () => {
    expect(parseLogLine(line("warning", "main", "no limit [yet]"))).toEqual({
      level: "warning",
      logger: "main",
      message: "no limit [yet]",
    });
  });

  it("keeps tags that Envoy puts before the message", () => {
    const parsed = parseLogLine('[2026-11-21 05:02:49.525][7][debug][http] [Tags: "ConnectionId":"1"] new stream');
    expect(parsed).toEqual({ level: "debug", logger: "http", message: '[Tags: "ConnectionId":"1"] new stream' });
  });

  it.each(["", "starting: /x/envoy", "[2026-11-21]", "[x][y][error][z] no", "Backtrace (use tools/stack_decode.py)"])(
    "finds no prefix in %j",
    (text) => expect(parseLogLine(text)).toBeUndefined(),
  );
});

describe("LogCapture", () => {
  it("is indifferent to where the output is cut", () => {
    const text = `${line("info", "main", "one")}\n${line("error", "wasm", "two")}\n  at frame 1\n${line("info", "main", "three")}\n`;
    const whole = new LogCapture();
    whole.write("stderr", text);
    const pieces = new LogCapture();
    for (const character of text) pieces.write("stderr", character);
    expect(pieces.entries).toEqual(whole.entries);
    expect(whole.entries.map(({ message }) => message)).toEqual(["one", "two\n  at frame 1", "three"]);
  });

  it("keeps stdout and stderr apart", () => {
    const log = new LogCapture();
    log.write("stderr", `${line("error", "wasm", "trap")}\n`);
    log.write("stdout", "access ");
    log.write("stderr", "  at frame 1\n");
    log.write("stdout", "log\n");
    expect(log.entries).toEqual([
      { stream: "stderr", level: "error", logger: "wasm", message: "trap\n  at frame 1" },
      { stream: "stdout", level: "none", logger: "", message: "access log" },
    ]);
  });

  it("takes a last line without end", () => {
    const log = new LogCapture();
    log.write("stderr", "half");
    expect(log.entries).toEqual([]);
    log.end();
    expect(log.tail()).toBe("half");
  });

  it("tells expected errors from unexpected ones, by whole pattern and continuation line", () => {
    const log = new LogCapture([/\[wasm\] expected/g]);
    log.write(
      "stderr",
      `${line("error", "wasm", "expected")}\n${line("critical", "main", "assert")}\nfailure\n${line("warning", "main", "mild")}\n`,
    );
    expect(log.unexpectedErrors().map(({ message }) => message)).toEqual(["assert\nfailure"]);
    expect(log.unexpectedErrors()).toHaveLength(1); // a /g pattern must not remember its last position
    log.allow(/assert\nfailure/);
    expect(log.unexpectedErrors()).toEqual([]);
  });

  it("holds a bounded number of entries and of characters, and never loses an error to chatter", () => {
    const log = new LogCapture();
    log.write("stderr", `${line("error", "main", "first")}\n`);
    for (let i = 0; i < 50_000; i++) log.write("stderr", `${line("info", "main", String(i))}\n`);
    expect(log.entries.length).toBeLessThanOrEqual(20_000);
    expect(log.entries.at(-1)?.message).toBe("49999");
    expect(log.unexpectedErrors().map(({ message }) => message)).toEqual(["first"]);
    for (let i = 0; i < 200; i++) log.write("stdout", "x".repeat(10_000));
    log.end();
    expect(log.entries.at(-1)?.message.length).toBeLessThanOrEqual(64 * 1024);
  });

  it("waits for a line", async () => {
    const log = new LogCapture();
    const waiting = log.waitFor(/kettle/, 2_000);
    log.write("stderr", `${line("info", "main", "the kettle boils")}\n`);
    expect((await waiting).message).toBe("the kettle boils");
    await expect(log.waitFor(/toast/, 30)).rejects.toThrow("waited 30 ms for log line /toast/");
  });
});
