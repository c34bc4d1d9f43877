package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/amzn/ion-go/ion"
)

// text is an Ion value as text. The driver writes it by MarshalIon, so types and annotations stay.
type text string

func (value text) MarshalIon(writer ion.Writer) error {
	reader := ion.NewReaderString(string(value))
	if !reader.Next() {
		return fmt.Errorf("no Ion value: %v", reader.Err())
	}
	return copyValue(reader, writer)
}

// textOf returns the Ion text of a binary value.
func textOf(data []byte) (string, error) {
	var out bytes.Buffer
	reader, writer := ion.NewReaderBytes(data), ion.NewTextWriter(&out)
	if !reader.Next() {
		return "", fmt.Errorf("no Ion value: %v", reader.Err())
	}
	if err := copyValue(reader, writer); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), writer.Finish()
}

// copyValue writes the value that the reader is at, with its annotations.
func copyValue(reader ion.Reader, writer ion.Writer) error {
	annotations, err := reader.Annotations()
	if err != nil {
		return err
	}
	if len(annotations) > 0 {
		if err := writer.Annotations(annotations...); err != nil {
			return err
		}
	}
	if reader.IsNull() {
		return writer.WriteNullType(reader.Type())
	}
	switch reader.Type() {
	case ion.StructType:
		return copyMembers(reader, writer, writer.BeginStruct, writer.EndStruct)
	case ion.ListType:
		return copyMembers(reader, writer, writer.BeginList, writer.EndList)
	case ion.SexpType:
		return copyMembers(reader, writer, writer.BeginSexp, writer.EndSexp)
	}
	return copyScalar(reader, writer)
}

func copyMembers(reader ion.Reader, writer ion.Writer, begin, end func() error) error {
	if err := begin(); err != nil {
		return err
	}
	inStruct := reader.Type() == ion.StructType
	if err := reader.StepIn(); err != nil {
		return err
	}
	for reader.Next() {
		if inStruct {
			name, err := reader.FieldName()
			if err != nil {
				return err
			}
			if err := writer.FieldName(*name); err != nil {
				return err
			}
		}
		if err := copyValue(reader, writer); err != nil {
			return err
		}
	}
	if reader.Err() != nil {
		return reader.Err()
	}
	if err := reader.StepOut(); err != nil {
		return err
	}
	return end()
}

func copyScalar(reader ion.Reader, writer ion.Writer) error {
	switch reader.Type() {
	case ion.BoolType:
		value, err := reader.BoolValue()
		return write(value, err, writer.WriteBool)
	case ion.IntType:
		value, err := reader.BigIntValue()
		if err != nil {
			return err
		}
		return writer.WriteBigInt(value)
	case ion.FloatType:
		value, err := reader.FloatValue()
		return write(value, err, writer.WriteFloat)
	case ion.DecimalType:
		value, err := reader.DecimalValue()
		if err != nil {
			return err
		}
		return writer.WriteDecimal(value)
	case ion.TimestampType:
		value, err := reader.TimestampValue()
		return write(value, err, writer.WriteTimestamp)
	case ion.SymbolType:
		value, err := reader.SymbolValue()
		return write(value, err, writer.WriteSymbol)
	case ion.StringType:
		value, err := reader.StringValue()
		return write(value, err, writer.WriteString)
	case ion.ClobType:
		value, err := reader.ByteValue()
		return write(&value, err, writer.WriteClob)
	case ion.BlobType:
		value, err := reader.ByteValue()
		return write(&value, err, writer.WriteBlob)
	}
	return fmt.Errorf("no scalar: %v", reader.Type())
}

func write[Value any](value *Value, err error, to func(Value) error) error {
	if err != nil {
		return err
	}
	return to(*value)
}
