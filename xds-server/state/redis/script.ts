/**
 * A Lua script that Redis runs by its hash. ioredis has this as well (`defineCommand`), for arguments of every kind: flattening and converting forty of
 * them took an eighth of a call. Here the text of the command is written at once, and ioredis only sends it and matches the answer.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
import { createHash } from "node:crypto";
import type { Cluster, Redis } from "ioredis";
import { driver } from "./driver.ts";

/** Of a script: integers, texts, nil and lists of them. */
export type RedisReply = number | string | null | readonly RedisReply[];

export class RedisScript {
  readonly #lua: string;
  readonly #sha: string;

  constructor(lua: string) {
    this.#lua = lua;
    this.#sha = createHash("sha1").update(lua).digest("hex");
  }

  /**
   * What the script returns.
   * @param keys at least one; on a cluster all of one slot
   * @throws Error of ioredis
   */
  async run(client: Redis | Cluster, keys: readonly string[], args: readonly (string | number)[]): Promise<RedisReply> {
    try {
      return await this.#send(client, "EVALSHA", this.#sha, keys, args);
    } catch (error) {
      // A server that does not know the script has done nothing. From then on it knows it.
      if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
      return await this.#send(client, "EVAL", this.#lua, keys, args);
    }
  }

  #send(
    client: Redis | Cluster,
    name: string,
    script: string,
    keys: readonly string[],
    args: readonly (string | number)[],
  ) {
    let text = `*${3 + keys.length + args.length}\r\n${bulk(name)}${bulk(script)}${bulk(keys.length)}`;
    for (const key of keys) text += bulk(key);
    for (const arg of args) text += bulk(arg);
    // A cluster looks for the node of the first key.
    WrittenCommand ??= writtenCommand();
    const command = new WrittenCommand(name, [script, "1", keys[0] ?? ""], { replyEncoding: "utf8" });
    command.text = text;
    return client.sendCommand(command) as Promise<RedisReply>;
  }
}

/** The class of commands whose text is written already. */
function writtenCommand() {
  return class extends driver().Command {
    text = "";

    override toWritable(): string {
      return this.text;
    }
  };
}

let WrittenCommand: ReturnType<typeof writtenCommand> | undefined;

/** A bulk string of the protocol. Lengths are in bytes; numbers are ASCII. */
function bulk(value: string | number): string {
  if (typeof value === "string") return `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
  const text = String(value);
  return `$${text.length}\r\n${text}\r\n`;
}
