import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AUTHORITY, SERVER } from "../../../test/fixtures/tls/index.ts";
import { systemClock } from "../clock.ts";
import { DiscoveryError } from "../errors.ts";
import { JsonClient } from "./json-client.ts";
import { readAuthorities } from "./server-address.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tokenmesh-authorities-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("authorities of a registry", () => {
  it("are believed when a file names them, and nobody else is", async () => {
    const file = join(folder, "ca.pem");
    writeFileSync(file, AUTHORITY);
    const server = createServer(SERVER, (_, response) => response.end("[]"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = new URL(`https://localhost:${(server.address() as AddressInfo).port}/`);
    const trusting = new JsonClient(systemClock, { authorities: readAuthorities(file) });
    const plain = new JsonClient(systemClock, { authorities: readAuthorities(undefined) });
    try {
      expect((await trusting.get({ url, timeoutMs: 5_000 })).body).toEqual([]);
      const error = await plain.get({ url, timeoutMs: 5_000 }).catch((each: unknown) => each);
      expect(error).toBeInstanceOf(DiscoveryError);
      expect((error as DiscoveryError).code).toBe("TM_DISCOVERY_UNREACHABLE");
      expect((error as DiscoveryError).message).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED/);
    } finally {
      trusting.close();
      plain.close();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("must be in the file", () => {
    const empty = join(folder, "empty.pem");
    writeFileSync(empty, "");
    expect(() => readAuthorities(empty)).toThrow("has no certificate");
    expect(() => readAuthorities(join(folder, "none.pem"))).toThrow("ENOENT");
  });
});
