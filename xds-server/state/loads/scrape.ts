/** One question to one engine: GET /metrics, bounded in time and size. */
import { Agent, request } from "node:http";
import { type EngineLoad, engineLoad } from "./engine-load.ts";
import { ExpositionError } from "./exposition.ts";
import { MAX_BODY_BYTES, SCRAPE_TIMEOUT_MS } from "./limits.ts";

export type ScrapeFault = "unreachable" | "timeout" | "status" | "too_large" | "malformed";

export type ScrapeResult = { readonly load: EngineLoad } | { readonly fault: ScrapeFault; readonly message: string };

/** Asks `ip:port`. Never rejects. */
export type Scrape = (address: string) => Promise<ScrapeResult>;

/** A scraper whose connections stay open between scrapes; `close` ends them. */
export function httpScrape(timeoutMs = SCRAPE_TIMEOUT_MS): { readonly scrape: Scrape; close(): void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, maxTotalSockets: 8_192 });
  return { scrape: (address) => scrape(address, agent, timeoutMs), close: () => agent.destroy() };
}

function scrape(address: string, agent: Agent, timeoutMs: number): Promise<ScrapeResult> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    let timer: NodeJS.Timeout | undefined;
    const call = request(`http://${address}/metrics`, { agent, headers: { accept: "text/plain;version=0.0.4" } });
    const finish = (result: ScrapeResult): void => {
      clearTimeout(timer);
      resolve(result);
    };
    const fail = (fault: ScrapeFault, message: string): void => {
      finish({ fault, message });
      call.destroy();
    };
    // Slow connections, slow headers and slow bodies alike: the time counts from the beginning.
    timer = setTimeout(() => fail("timeout", `no whole answer within ${timeoutMs} ms`), timeoutMs);
    call.on("error", (error) => fail("unreachable", error.message));
    call.on("response", (response) => {
      response.on("error", (error) => fail("unreachable", error.message));
      if (response.statusCode !== 200) return fail("status", `status ${response.statusCode}`);
      response.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes > MAX_BODY_BYTES) fail("too_large", `more than ${MAX_BODY_BYTES} bytes`);
        else parts.push(part);
      });
      response.on("end", () => finish(read(Buffer.concat(parts).toString("utf8"))));
    });
    call.end();
  });
}

function read(text: string): ScrapeResult {
  try {
    return { load: engineLoad(text) };
  } catch (error) {
    if (error instanceof ExpositionError) return { fault: "malformed", message: error.message };
    throw error;
  }
}
