//! Inputs that do not match the function, and results that do not fit, are errors with a place.

use pimc_golden::{run, GoldenError};
use pimc_ir::testing::ModelBuilder;
use pimc_ir::Model;

fn model() -> Model {
    let text = "pimc 1
target \"hbm3-pim\"
weight @w : int<2x3, bits=8> from \"w.safetensors\"
func @main(%x: i8<3>) -> i32<2> {
  %y = matvec @w, %x : i32<2>
  return %y
}";
    ModelBuilder::new(text).int("w", &[1, 2, 3, -1, 0, 7], &[]).build().unwrap()
}

#[test]
fn a_good_input_gives_the_trace() {
    let trace = run(&model(), &[vec![-128, 127, 1]]).unwrap();
    assert_eq!(trace.values, [vec![-128, 127, 1], vec![129, 135]]);
    assert_eq!(trace.result(), [129, 135]);
}

#[test]
fn the_number_of_inputs_is_checked() {
    let error = run(&model(), &[]).unwrap_err();
    assert_eq!(error, GoldenError::InputCount { expected: 1, got: 0 });
    assert_eq!(error.span(), None);
}

#[test]
fn the_length_of_an_input_is_checked() {
    let error = run(&model(), &[vec![1, 2]]).unwrap_err();
    assert_eq!(error.to_string(), "input %x is i8<3>, the vector given has 2 elements");
}

#[test]
fn the_range_of_an_input_is_checked() {
    let error = run(&model(), &[vec![1, 128, -129]]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input %x is i8<3>, but element 1 is 128: give values of -128..=127"
    );
}

#[test]
fn a_result_that_does_not_fit_is_never_wrapped() {
    let mut model = model();
    // The verifier rejects such a type, so it is put in behind its back.
    model.module.func.values[1].ty.elem.bits = 9;
    let error = run(&model, &[vec![127, 127, 127]]).unwrap_err();
    let text = "element 0 of %y is 762, which its type i9<2> does not hold";
    assert_eq!(error.to_string(), text);
    let span = error.span().unwrap();
    assert_eq!(&model.source[span], "%y = matvec @w, %x : i32<2>");
}
