/** Where the stock page posts a body: elsewhere the connector lets no device write (PROTOCOL.md GP3). */
export const UPLOAD_PATH = "/plugins/openai/realtime/calls";
