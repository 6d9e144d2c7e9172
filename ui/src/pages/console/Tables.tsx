import { type ReactNode, useState } from "react";
import { type Measurement, tablesOf } from "../../data/catalog";

/** Every table there is; a click puts its name, or a column's, into the text. */
export function Tables({ measurements, insert }: { measurements: Measurement[]; insert: (text: string) => void }): ReactNode {
  const [words, setWords] = useState("");
  const found = measurements.filter((each) => `${each.name} ${each.title}`.toLowerCase().includes(words.toLowerCase()));
  return (
    <section className="panel side" aria-label="Tables">
      <label className="field">
        <span className="sr">Filter tables</span>
        <input type="search" placeholder="Filter tables" value={words} onChange={(event) => setWords(event.target.value)} />
      </label>
      <ul>
        {found.slice(0, 120).map((each) => (
          <li key={each.name}>
            <details>
              <summary title={each.doc}>{each.name}</summary>
              <div className="row">
                {tablesOf(each).map((table) => <button key={table} type="button" className="chip" onClick={() => insert(table)}>{table.slice(each.name.length) || "all rows"}</button>)}
              </div>
              <ul>
                {each.columns.map((column) => (
                  <li key={column.name}>
                    <button type="button" className="button plain" title={`${column.kind}, ${column.type}${column.unit ? `, ${column.unit}` : ""}: ${column.doc}`} onClick={() => insert(column.name)}>
                      {column.name} <span className="muted">{column.unit || column.type}</span>
                    </button>
                  </li>
                ))}
              </ul>
            </details>
          </li>
        ))}
      </ul>
    </section>
  );
}
