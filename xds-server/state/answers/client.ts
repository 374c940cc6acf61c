/** What the command line asks of the admin API. Errors come back with the API's own code and remedy. */

export interface CacheClientOptions {
  /** `http://host:port` of the admin API. */
  readonly api: string;
  readonly token: string | undefined;
}

const TIMEOUT_MS = 10_000;

export class CacheClient {
  readonly #api: string;
  readonly #token: string | undefined;

  constructor({ api, token }: CacheClientOptions) {
    this.#api = api.includes("://") ? api : `http://${api}`;
    this.#token = token;
  }

  /** @throws Error */
  show(): Promise<object> {
    return this.#call("/cache");
  }

  /** @param target one of `key`, `model`, `tenant` and `all` @throws Error */
  purge(target: object): Promise<object> {
    return this.#call("/cache/purge", JSON.stringify(target));
  }

  async #call(path: string, body?: string): Promise<object> {
    let response: Response;
    try {
      response = await fetch(this.#api + path, {
        ...(body === undefined ? {} : { method: "POST", body }),
        headers: this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new Error(`the admin API at ${this.#api} cannot be reached: ${cause}; give its address with --api`);
    }
    const text = await response.text();
    if (!response.ok) throw new Error(describe(response.status, text));
    return JSON.parse(text) as object;
  }
}

function describe(status: number, text: string): string {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string; remedy: string } };
    return `${error.code}: ${error.message}. ${error.remedy}`;
  } catch {
    return `the admin API answered ${status}: ${text.slice(0, 200)}`;
  }
}
