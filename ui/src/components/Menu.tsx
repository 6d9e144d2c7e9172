import { type KeyboardEvent, type ReactNode, useEffect, useRef } from "react";

interface Props {
  label: string;
  /** A picture; its label is heard, not seen. */
  sign?: ReactNode;
  /** Words that are seen; the label comes before them. */
  words?: ReactNode;
  /** Whether the sheet begins at the sign's own edge. */
  start?: boolean;
  children: ReactNode;
  className?: string;
  /** Whether it is the one that chooses the time: a key opens it. */
  isTime?: boolean;
}

/** A button with a sheet below it. Escape and a click elsewhere close it. */
export function Menu({ label, sign, words, start = false, children, className = "button plain", isTime = false }: Props): ReactNode {
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const away = (event: Event): void => {
      if (box.current?.open && !box.current.contains(event.target as Node)) box.current.open = false;
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("focusin", away);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("focusin", away);
    };
  }, []);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !box.current?.open) return;
    box.current.open = false;
    box.current.querySelector("summary")?.focus();
    event.stopPropagation();
  };
  const onClick = (event: React.MouseEvent): void => {
    // What is chosen closes it; fields stay open.
    if ((event.target as Element).closest(".item") && box.current) box.current.open = false;
  };
  return (
    <details className="menu" ref={box} data-time={isTime ? "" : undefined} onKeyDown={onKeyDown}>
      {words ? (
        <summary className={className} title={label}><span className="sr">{label}: </span>{words}</summary>
      ) : (
        <summary className={className} aria-label={label} title={label}>{sign}</summary>
      )}
      <div className={start ? "sheet start" : "sheet"} onClick={onClick}>{children}</div>
    </details>
  );
}
