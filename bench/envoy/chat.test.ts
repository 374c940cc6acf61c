import { describe, expect, it } from "vitest";
import {
  chatAnswer,
  chatRequest,
  chatStream,
  eventsPerStream,
  httpRequest,
  usageOfAnswer,
  usageOfStream,
} from "./chat.ts";

const chat = (bytes: number, modelFirst = false) => chatRequest({ model: "gpt-4o", bytes, seed: 1, modelFirst });

describe("chat requests", () => {
  it.each([1_024, 16_384, 131_072, 1_048_576])("of %i bytes have their size", (bytes) => {
    const size = Buffer.byteLength(chat(bytes));
    expect(size).toBeGreaterThanOrEqual(bytes);
    expect(size).toBeLessThanOrEqual(bytes * 1.01 + 64);
  });

  it("have model last or first, and it is the one that was asked for", () => {
    expect(chat(2_000)).toMatch(/^\{"messages":.*,"model":"gpt-4o"\}$/s);
    expect(chat(2_000, true)).toMatch(/^\{"model":"gpt-4o","messages":/);
    expect((JSON.parse(chat(2_000)) as { model: string }).model).toBe("gpt-4o");
  });

  it("are the same for the same seed and escape what JSON text escapes", () => {
    expect(chat(20_000)).toBe(chat(20_000));
    expect(chat(20_000)).not.toBe(chatRequest({ model: "gpt-4o", bytes: 20_000, seed: 2 }));
    expect(chat(20_000)).toContain('\\"model\\"');
    expect(chat(20_000)).toContain("\\n");
  });

  it("end with the words that are wanted, and have their size all the same", () => {
    const body = chatRequest({ model: "gpt-4o", bytes: 2_000, seed: 1, ending: "<<request>>" });
    const { messages } = JSON.parse(body) as { messages: readonly { content: string }[] };
    expect(messages.at(-1)?.content).toMatch(/.<<request>>$/s);
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(2_000 * 1.01 + 64);
  });

  it("say how long they are in HTTP", () => {
    const [head = "", body = ""] = httpRequest('{"ü":1}', true).toString().split("\r\n\r\n");
    expect(head).toContain("content-length: 8");
    expect(head).toContain("x-bench-answer: sse");
    expect(body).toBe('{"ü":1}');
  });
});

describe("answers", () => {
  it("report their usage", () => {
    expect(JSON.parse(chatAnswer())).toMatchObject({ usage: usageOfAnswer });
  });

  it("stream as many events as the load generator counts, usage in the one before [DONE] only", () => {
    const events = chatStream().split("\n\n").slice(0, -1);
    expect(events).toHaveLength(eventsPerStream);
    expect(events.at(-1)).toBe("data: [DONE]");
    expect(events.filter((event) => event.includes('"usage"'))).toHaveLength(1);
    expect(JSON.parse(events.at(-2)?.slice("data: ".length) ?? "")).toMatchObject({ usage: usageOfStream });
  });
});
