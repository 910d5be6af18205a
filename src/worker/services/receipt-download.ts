/** A signed receipt as a download. */
import type { ReceiptFile } from "../../protocol/receipt.ts";

/** @param device names the file */
export function receiptDownload(device: string, receipt: ReceiptFile): Response {
  return new Response(`${JSON.stringify(receipt, null, 2)}\n`, {
    headers: {
      "content-type": "application/json; charset=utf-8",
      "content-disposition": `attachment; filename="gatehouse-receipt-${device}.json"`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}
