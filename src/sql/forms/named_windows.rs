//! Named windows, written out: what `OVER (w ...)` and `w2 AS (w ...)` take from `w`.
//!
//! DataFusion knows `OVER w`, but of `OVER (w ORDER BY x)` it forgets what `w` says.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, NamedWindowDefinition, NamedWindowExpr, OrderBy, Select, Spanned as _, WindowSpec,
    WindowType,
};

use super::super::walk::{self, PartMut};
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
    let mut rewrite = |part: PartMut<'_>| match part {
        PartMut::EndOfExpression(Expr::Function(Function { over: Some(over), .. })) => {
            complete_in_place(over, &known)
        }
        _ => Ok(()),
    };
    walk::write(select, &mut rewrite)?;
    order_by.map_or(Ok(()), |order_by| walk::write(order_by, &mut rewrite))
}

/// Writes one window out, if it names another.
fn complete_in_place(over: &mut WindowType, known: &[(Ident, WindowSpec)]) -> Result<(), Refusal> {
    let spec = match over {
        WindowType::NamedWindow(name) => find(known, name)?.clone(),
        WindowType::WindowSpec(spec) if spec.window_name.is_some() => complete(spec.clone(), known)?,
        WindowType::WindowSpec(_) => return Ok(()),
    };
    *over = WindowType::WindowSpec(spec);
    Ok(())
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
