//! Named windows, written out: what `OVER (w ...)` and `w2 AS (w ...)` take from `w`.
//!
//! DataFusion knows `OVER w`, but of `OVER (w ORDER BY x)` it forgets what `w` says.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, NamedWindowDefinition, NamedWindowExpr, OrderBy, Select, Spanned as _, VisitMut,
    VisitorMut, WindowSpec, WindowType,
};

use super::Refusal;

/// Writes the windows of a SELECT, and of the ORDER BY that follows it, out.
///
/// # Errors
/// A name that is not defined before; what the standard forbids.
pub(super) fn write_out(select: &mut Select, order_by: Option<&mut OrderBy>) -> Result<(), Refusal> {
    let mut known: Vec<(Ident, WindowSpec)> = Vec::new();
    for NamedWindowDefinition(name, window) in std::mem::take(&mut select.named_window) {
        let spec = match window {
            NamedWindowExpr::NamedWindow(base) => find(&known, &base)?.clone(),
            NamedWindowExpr::WindowSpec(spec) => complete(spec, &known)?,
        };
        if known.iter().any(|(other, _)| other.value == name.value) {
            return Err(Refusal::new(
                name.span,
                format!("the window `{name}` is defined twice"),
                "give each window its own name",
            ));
        }
        known.push((name, spec));
    }
    let mut writer = Writer { known: &known };
    if let ControlFlow::Break(refusal) = select.visit(&mut writer) {
        return Err(refusal);
    }
    match order_by.map(|order_by| order_by.visit(&mut writer)) {
        Some(ControlFlow::Break(refusal)) => Err(refusal),
        _ => Ok(()),
    }
}

struct Writer<'a> {
    known: &'a [(Ident, WindowSpec)],
}

impl VisitorMut for Writer<'_> {
    type Break = Refusal;

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Refusal> {
        let Expr::Function(Function { over: Some(over), .. }) = expression else {
            return ControlFlow::Continue(());
        };
        let spec = match over {
            WindowType::NamedWindow(name) => find(self.known, name).cloned(),
            WindowType::WindowSpec(spec) if spec.window_name.is_some() => complete(spec.clone(), self.known),
            WindowType::WindowSpec(_) => return ControlFlow::Continue(()),
        };
        match spec {
            Ok(spec) => {
                *over = WindowType::WindowSpec(spec);
                ControlFlow::Continue(())
            }
            Err(refusal) => ControlFlow::Break(refusal),
        }
    }
}

fn find<'a>(known: &'a [(Ident, WindowSpec)], name: &Ident) -> Result<&'a WindowSpec, Refusal> {
    let found = known.iter().find(|(other, _)| other.value == name.value);
    found.map(|(_, spec)| spec).ok_or_else(|| {
        Refusal::new(
            name.span,
            format!("no window `{name}`"),
            "define it after WHERE and GROUP BY: `WINDOW w AS (PARTITION BY ...)`",
        )
    })
}

/// A window with all that it takes from the one it names: the partitions always, the order if it has none.
fn complete(spec: WindowSpec, known: &[(Ident, WindowSpec)]) -> Result<WindowSpec, Refusal> {
    let Some(name) = &spec.window_name else { return Ok(spec) };
    let base = find(known, name)?;
    let refuse =
        |what: &str| Err(Refusal::new(name.span, format!("{what} of the window `{name}`"), WRITE_OUT));
    if let Some(partition) = spec.partition_by.first() {
        let message = format!("PARTITION BY beside that of the window `{name}`");
        return Err(Refusal::new(partition.span(), message, WRITE_OUT));
    }
    if base.window_frame.is_some() {
        return refuse("a window cannot take over the frame");
    }
    if !base.order_by.is_empty() && !spec.order_by.is_empty() {
        return refuse("ORDER BY beside that");
    }
    let order_by = if spec.order_by.is_empty() { base.order_by.clone() } else { spec.order_by };
    Ok(WindowSpec {
        window_name: None,
        partition_by: base.partition_by.clone(),
        order_by,
        window_frame: spec.window_frame,
    })
}

const WRITE_OUT: &str = "write the window out: `OVER (PARTITION BY ... ORDER BY ...)`";
